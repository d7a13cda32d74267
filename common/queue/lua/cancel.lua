-- Take a command back unless a worker has it.
--
-- KEYS         per stream: stream, lanes, waiting, ready, retry, tries; then the status record, the stream for callbacks
-- ARGV         number of streams, group, stream number, entry id, command id, channel of ends, record's life ms, number
--              of record fields, record fields.., callback fields..
-- Reply        cancelled | sending | ended
-- Safe at OOM: passes (XACK comes first)
-- Owner-checked: an entry that is pending for a worker is left to it
-- include: lanes

local streams, i, id = tonumber(ARGV[1]), tonumber(ARGV[3]), ARGV[4]
group = ARGV[2]
local row = redis.call('XRANGE', key(i, STREAM), id, id)[1]
if not row then
  return 'ended'
end
local who = owner(i, id)
if who and string.sub(who, 1, 1) ~= '~' then
  return 'sending'
end
local lane = lane_of(row[2])
redis.call('XACK', key(i, STREAM), group, id)
redis.call('ZREM', key(i, RETRY), id)
redis.call('ZREM', key(i, WAITING), lane .. SEPARATOR .. pad(id))
remove_all(streams, i, { id }, { lane })
local record, callbacks = KEYS[streams * 6 + 1], KEYS[streams * 6 + 2]
local count = tonumber(ARGV[8])
redis.call('HSET', record, unpack(ARGV, 9, 8 + count))
redis.call('PEXPIRE', record, ARGV[7])
if #ARGV > 8 + count then
  redis.call('XADD', callbacks, '*', unpack(ARGV, 9 + count))
end
redis.call('PUBLISH', ARGV[6], ARGV[5])
return 'cancelled'
