// Runs before the first paint, so that a chosen theme does not flash; inline scripts are forbidden by the page's policy.
try {
	const theme = localStorage.getItem('writTheme');
	if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
	// Storage is blocked: the system's theme it is.
}
