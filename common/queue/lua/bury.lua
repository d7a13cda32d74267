-- Take the names out whose life has ended, and name the living.
--
-- KEYS         workers
-- ARGV         (none)
-- Reply        names alive
-- Safe at OOM: passes
-- Owner-checked: a name that was renewed in time is never taken out

local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf',
  tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
return redis.call('ZRANGE', KEYS[1], 0, -1)
