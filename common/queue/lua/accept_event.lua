-- Accept an inbound event: dedupe by message id, stream entry and record in one step.
--
-- KEYS         stream, the event's record, the chat's list of our own messages
-- ARGV         message id, kind, chat id, body, received at ms, life of the record ms, fingerprint of the content where
--              it is an echo of our own message ('' = it is not), life of the list ms
-- Reply        {'accepted', entry id, 0} | {'duplicate', message id, entry id of the first}
-- Safe at OOM: refused as a whole (its first write is the XADD)
-- Owner-checked: not needed, the entry is new
-- A record without an entry id is that of a message we have sent ourselves: its echo is accepted once.

local known = redis.call('HGET', KEYS[2], 'entry_id')
if known then
  return { 'duplicate', ARGV[1], known }
end
local id, kind, chat, received, own = ARGV[1], ARGV[2], ARGV[3], ARGV[5], ARGV[7] ~= ''
local entry_id = redis.call('XADD', KEYS[1], '*', 'id', id, 'kind', kind, 'chat_id', chat, 'body', ARGV[4],
  'received_at', received)
redis.call('HSET', KEYS[2], 'entry_id', entry_id, 'id', id, 'kind', kind, 'chat_id', chat, 'received_at', received,
  'direction', own and 'out' or 'in')
redis.call('PEXPIRE', KEYS[2], ARGV[6])
if own then
  redis.call('HSET', KEYS[2], 'fingerprint', ARGV[7])
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[3], tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), id)
  redis.call('PEXPIRE', KEYS[3], ARGV[8])
end
return { 'accepted', entry_id, 0 }
