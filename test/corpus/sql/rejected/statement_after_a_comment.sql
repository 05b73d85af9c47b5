SELECT 1 -- ;
; DROP VIEW support.tickets
