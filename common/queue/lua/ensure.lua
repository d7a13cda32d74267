-- Make the consumer group of a stream at 0 where it is missing, and clear the indexes that spoke of the old one.
--
-- KEYS         stream, lanes, waiting, ready, retry, tries
-- ARGV         group
-- Reply        {1 when it was made now, length of the stream}
-- Safe at OOM: refused (XGROUP CREATE), nothing is changed
-- Owner-checked: no; where the group exists nothing happens
-- What is left in the stream is new again (R9, R10). Entries up to the last id may have been out when the group was
-- lost: `tries` remembers that id under `*`, so that a send looks before it repeats.

-- Asked first, for XGROUP CREATE is refused at OOM even where the group exists.
local there, groups = pcall(redis.call, 'XINFO', 'GROUPS', KEYS[1])
for _, info in ipairs(there and groups or {}) do
  for f = 1, #info, 2 do
    if info[f] == 'name' and info[f + 1] == ARGV[1] then
      return { 0, redis.call('XLEN', KEYS[1]) }
    end
  end
end
redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
local had = redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5])
local length = redis.call('XLEN', KEYS[1])
if length > 0 and (had > 0 or redis.call('EXISTS', KEYS[6]) == 1) then
  redis.call('HSET', KEYS[6], '*', redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1][1])
end
return { 1, length }
