-- Accept an inbound event: dedupe by message id, stream entry and record in one step.
--
-- KEYS         stream, the event's record, the chat's list of our own messages
-- ARGV         '1' for an echo of our own message, message id, life of the record ms, life of the list ms,
--              fingerprint of the content, number of entry fields, entry fields.., record fields..
-- Reply        {'accepted', entry id, 0} | {'duplicate', message id, entry id of the first}
-- Safe at OOM: refused as a whole (its first write is the XADD)
-- Owner-checked: not needed, the entry is new
-- A record without an entry id is that of a message we have sent ourselves: its echo is accepted once.

local known = redis.call('HGET', KEYS[2], 'entry_id')
if known then
  return { 'duplicate', ARGV[2], known }
end
local count = tonumber(ARGV[6])
local entry_id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 7, 6 + count))
redis.call('HSET', KEYS[2], 'entry_id', entry_id, unpack(ARGV, 7 + count))
redis.call('PEXPIRE', KEYS[2], ARGV[3])
if ARGV[1] == '1' then
  redis.call('HSET', KEYS[2], 'fingerprint', ARGV[5])
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[3], tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), ARGV[2])
  redis.call('PEXPIRE', KEYS[3], ARGV[4])
end
return { 'accepted', entry_id, 0 }
