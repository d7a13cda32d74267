-- Hold a direction of the queue by hand, or let it go on. `take` gives nothing out while it is held; what has a permit goes
-- on, and callers without a queue entry are not asked.
--
-- KEYS         the gate's hash
-- ARGV         '1' to hold, '0' to go on; who, why
-- Reply        since when it had been held before, unix ms; '' if it was not
-- Safe at OOM: passes (its first write is a HDEL, R15)
-- Owner-checked: not needed, the last word counts
-- include: clock

local since = redis.call('HGET', KEYS[1], 'held_since')
redis.call('HDEL', KEYS[1], 'held_since', 'held_by', 'held_why')
if ARGV[1] == '1' then
  redis.call('HSET', KEYS[1], 'held_since', since or string.format('%.0f', wall_ms()), 'held_by', ARGV[2], 'held_why', ARGV[3])
end
return since or ''
