-- Enter a worker's name, or renew it where it still stands.
--
-- KEYS         workers
-- ARGV         name, life ms, '1' to enter a new name
-- Reply        1, or 0 when the name is gone: it stays dead (R27)
-- Safe at OOM: passes (the ZREM makes the script one that has written, R15)
-- Owner-checked: a name is its owner's alone
-- include: clock

local known = redis.call('ZREM', KEYS[1], ARGV[1])
if known == 0 and ARGV[3] ~= '1' then
  return 0
end
redis.call('ZADD', KEYS[1], wall_ms() + tonumber(ARGV[2]), ARGV[1])
return 1
