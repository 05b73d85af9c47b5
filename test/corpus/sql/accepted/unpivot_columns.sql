UNPIVOT tickets ON COLUMNS(* EXCLUDE (status))
