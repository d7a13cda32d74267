-- Accept a command: idempotency check, stream entry and status record in one step.
--
-- KEYS         stream, its retry index, status record, idempotency key
-- ARGV         '1' to check the idempotency key, the command's id, fingerprint of the request, longest queue (0 = any),
--              life of the idempotency key ms, number of entry fields, entry fields.., record fields..
-- Reply        {'accepted', entry id, entries ahead} | {'duplicate', command id, entry id} | {'conflict'} |
--              {'full', length}
-- Safe at OOM: refused as a whole (its first write is the XADD)
-- Owner-checked: not needed, the entry is new

if ARGV[1] == '1' then
  local known = redis.call('GET', KEYS[4])
  if known then
    local command_id, fingerprint, entry_id = string.match(known, '^(%S+) (%S+) (%S+)$')
    if fingerprint == ARGV[3] then
      return { 'duplicate', command_id, entry_id }
    end
    return { 'conflict' }
  end
end
local ahead = redis.call('XLEN', KEYS[1]) - redis.call('ZCARD', KEYS[2])
local longest = tonumber(ARGV[4])
if longest > 0 and ahead >= longest then
  return { 'full', ahead }
end
local count = tonumber(ARGV[6])
local entry_id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 7, 6 + count))
redis.call('HSET', KEYS[3], 'entry_id', entry_id, unpack(ARGV, 7 + count))
if ARGV[1] == '1' then
  redis.call('SET', KEYS[4], ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. entry_id, 'PX', ARGV[5])
end
return { 'accepted', entry_id, ahead }
