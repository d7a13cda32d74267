-- Take a command back unless a worker has it.
--
-- KEYS         per stream: stream, lanes, waiting, ready, retry, tries; then the status record, the stream for callbacks
-- ARGV         number of streams, group, stream number, entry id, command id, channel of ends, record's life ms, number
--              of record fields, record fields.., callback fields..
-- Reply        cancelled | sending | ended
-- Safe at OOM: passes (XACK comes first)
-- Owner-checked: an entry that is pending for a worker is left to it
-- include: lanes, byhand

local streams, i, id = tonumber(ARGV[1]), tonumber(ARGV[3]), ARGV[4]
local row, who = byhand.find()
if not row then
  return who
end
local lane = lane_of(row[2])
redis.call('XACK', key(i, STREAM), group, id)
redis.call('ZREM', key(i, RETRY), id)
redis.call('ZREM', key(i, WAITING), lane .. SEPARATOR .. pad(id))
remove_all(streams, i, { id }, { lane })
byhand.close(8)
return 'cancelled'
