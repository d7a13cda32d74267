-- Take the names out whose life has ended, and name the living.
--
-- KEYS         workers
-- ARGV         (none)
-- Reply        names alive
-- Safe at OOM: passes
-- Owner-checked: a name that was renewed in time is never taken out
-- include: clock

redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', wall_ms())
return redis.call('ZRANGE', KEYS[1], 0, -1)
