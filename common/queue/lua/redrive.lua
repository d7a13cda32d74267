-- Put a dead letter back into its stream as a new entry.
--
-- KEYS         dead letters, stream, its tries, the status record, index of messages
-- ARGV         dead letter's id, its source stream, tries ('' = as if new), side ('c' | 'e'), message id, chat id, life of
--              the record ms ('' = until the message ends), number of entry fields, entry fields.., record fields..
-- Reply        the new entry id, or '' when there is no such dead letter of that stream
-- Safe at OOM: refused as a whole (its first write is the XADD)
-- Owner-checked: not needed, nobody works on dead letters
-- include: clock, index

local row = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
local source
for f = 1, row and #row[2] or 0, 2 do
  if row[2][f] == 'source' then
    source = row[2][f + 1]
  end
end
if source ~= ARGV[2] then
  return ''
end
local record = KEYS[4]
local count = tonumber(ARGV[8])
local entry_id = redis.call('XADD', KEYS[2], '*', unpack(ARGV, 9, 8 + count))
redis.call('XDEL', KEYS[1], ARGV[1])
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[3], entry_id, ARGV[3])
end
redis.call('HDEL', record, 'finished_at', 'reason', 'detail', 'not_before', 'expires_at')
redis.call('HSET', record, 'entry_id', entry_id, unpack(ARGV, 9 + count))
if ARGV[7] == '' then
  redis.call('PERSIST', record)
else
  redis.call('PEXPIRE', record, ARGV[7])
end
index(KEYS[5], ARGV[4], ARGV[5], ARGV[6])
return entry_id
