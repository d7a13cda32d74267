-- Accept commands: for each idempotency check, stream entry and status record in one step.
--
-- KEYS         per command: stream, its retry index, status record, idempotency key, index of messages
-- ARGV         per command the number of what follows, and: '1' to check the idempotency key, the command's id,
--              fingerprint of the request, longest queue (0 = any), life of the idempotency key ms, chat id, number of
--              entry fields, entry fields.., record fields..
-- Reply        per command {'accepted', entry id, entries ahead} | {'duplicate', command id, entry id} | {'conflict'} |
--              {'full', length} | {'error', text}
-- Safe at OOM: refused as a whole (the first write is an XADD)
-- Owner-checked: not needed, the entry is new
-- include: clock, items, index

-- How many wait in each stream, counted once a call.
local waiting = {}

return each_item(5, function(keys, args)
  local stream, retry, record, idempotency, messages = keys[1], keys[2], keys[3], keys[4], keys[5]
  if args[1] == '1' then
    local known = redis.call('GET', idempotency)
    if known then
      local command_id, fingerprint, entry_id = string.match(known, '^(%S+) (%S+) (%S+)$')
      if fingerprint == args[3] then
        return { 'duplicate', command_id, entry_id }
      end
      return { 'conflict' }
    end
  end
  local ahead = waiting[stream] or redis.call('XLEN', stream) - redis.call('ZCARD', retry)
  waiting[stream] = ahead
  local longest = tonumber(args[4])
  if longest > 0 and ahead >= longest then
    return { 'full', ahead }
  end
  local count = tonumber(args[7])
  local entry_id = redis.call('XADD', stream, '*', unpack(args, 8, 7 + count))
  waiting[stream] = ahead + 1
  redis.call('HSET', record, 'entry_id', entry_id, unpack(args, 8 + count))
  index(messages, 'c', args[2], args[6])
  if args[1] == '1' then
    redis.call('SET', idempotency, args[2] .. ' ' .. args[3] .. ' ' .. entry_id, 'PX', args[5])
  end
  return { 'accepted', entry_id, ahead }
end)
