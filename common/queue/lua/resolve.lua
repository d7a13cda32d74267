-- Say by hand what became of a command of unknown outcome: it was sent, or it is to be sent again.
--
-- KEYS         per stream: stream, lanes, waiting, ready, retry, tries; then the status record, the stream for callbacks,
--              the chat's list of our own messages, the record of the message it became
-- ARGV         number of streams, group, stream number, entry id, command id, channel of ends, record's life ms, life of
--              the list ms, 'sent' | 'not_sent', message id ('' = not known), number of record fields, record fields..,
--              callback fields..
-- Reply        ok | sending | certain (nobody doubts it) | ended
-- Safe at OOM: passes (ZREM comes first)
-- Owner-checked: an entry that is pending for a worker is left to it
-- include: clock, lanes, byhand

local streams, i, id = tonumber(ARGV[1]), tonumber(ARGV[3]), ARGV[4]
local row, who = byhand.find()
if not row then
  return who
end
local known, tries = pcall(cjson.decode, redis.call('HGET', key(i, TRIES), id) or '')
if who ~= '~retry' or not known or type(tries) ~= 'table' or not tries.outcome_unknown then
  return 'certain'
end
redis.call('ZREM', key(i, RETRY), id)
if ARGV[9] == 'not_sent' then
  redis.call('ZADD', key(i, RETRY), 0, id)
  tries.outcome_unknown, tries.crashes = false, 0
  tries.unknown_since_ms, tries.gate_since_ms, tries.theirs_since_ms, tries.traces = nil, nil, nil, nil
  redis.call('HSET', key(i, TRIES), id, cjson.encode(tries))
  return 'ok'
end
remove_all(streams, i, { id }, { lane_of(row[2]) })
if ARGV[10] ~= '' then
  local own_messages, message = KEYS[streams * 6 + 3], KEYS[streams * 6 + 4]
  redis.call('ZADD', own_messages, wall_ms(), ARGV[10])
  redis.call('PEXPIRE', own_messages, ARGV[8])
  redis.call('HSET', message, 'command_id', ARGV[5])
  redis.call('PEXPIRE', message, ARGV[7])
end
byhand.close(11)
return 'ok'
