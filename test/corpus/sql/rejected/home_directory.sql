SET home_directory = '/etc'
