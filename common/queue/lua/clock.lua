-- Tell the time of the server that holds a key; a cluster's nodes each have a clock of their own.
--
-- KEYS         the key
-- ARGV         none
-- Reply        unix ms
-- Safe at OOM: passes, it writes nothing
-- Owner-checked: not needed
-- include: clock

return wall_ms()
