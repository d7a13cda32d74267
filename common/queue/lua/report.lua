-- Add what a process has counted to the totals, and to the minute's history.
--
-- KEYS         totals, the minute's history
-- ARGV         life of the history ms, number of totals, then each as field, growth; number of flows, then each as field,
--              growth; then the lengths as field, value
-- Reply        the time ms, as text
-- Safe at OOM: refused as a whole (the first write is an HINCRBYFLOAT)
-- Owner-checked: not needed, everybody adds
-- include: clock

local at = 2

local function add_all(key)
  local count = tonumber(ARGV[at])
  for n = at + 1, at + 2 * count, 2 do
    redis.call('HINCRBYFLOAT', key, ARGV[n], ARGV[n + 1])
  end
  at = at + 1 + 2 * count
  return count
end

add_all(KEYS[1])
if add_all(KEYS[2]) > 0 then
  for n = at, #ARGV, 2 do
    redis.call('HSET', KEYS[2], ARGV[n], ARGV[n + 1])
  end
  redis.call('PEXPIRE', KEYS[2], ARGV[1])
end
return string.format('%d', wall_ms())
