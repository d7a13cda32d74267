-- Accept commands: for each idempotency check, stream entry and status record in one step.
--
-- KEYS         per command: stream, its retry index, status record, idempotency key, index of messages
-- ARGV         per command the number of what follows, and: '1' to check the idempotency key, fingerprint of the
--              request, longest queue (0 = any), life of the idempotency key ms, the command's id, kind, chat id, body,
--              accepted at ms, priority, batch id and traceparent (each '' = none), then names and values of what else
--              entry and record have
-- Reply        per command {'accepted', entry id, entries ahead} | {'duplicate', command id, entry id} | {'conflict'} |
--              {'full', length} | {'error', text}
-- Safe at OOM: refused as a whole (the first write is an XADD)
-- Owner-checked: not needed, the entry is new
-- include: clock, items, index

-- How many wait in each stream, counted once a call.
local waiting = {}

return each_item(5, function(key, from, to)
  local stream, retry, record, idempotency, messages = unpack(KEYS, key, key + 4)
  local checked, fingerprint, longest, life = unpack(ARGV, from, from + 3)
  local id, kind, chat, body, accepted_at, priority, batch, traceparent = unpack(ARGV, from + 4, from + 11)
  if checked == '1' then
    local known = redis.call('GET', idempotency)
    if known then
      local command_id, known_fingerprint, entry_id = string.match(known, '^(%S+) (%S+) (%S+)$')
      if known_fingerprint == fingerprint then
        return { 'duplicate', command_id, entry_id }
      end
      return { 'conflict' }
    end
  end
  local ahead = waiting[stream] or redis.call('XLEN', stream) - redis.call('ZCARD', retry)
  waiting[stream] = ahead
  longest = tonumber(longest)
  if longest > 0 and ahead >= longest then
    return { 'full', ahead }
  end
  local in_entry, in_record = { unpack(ARGV, from + 12, to) }, { unpack(ARGV, from + 12, to) }
  if traceparent ~= '' then
    in_entry[#in_entry + 1], in_entry[#in_entry + 2] = 'traceparent', traceparent
  end
  if batch ~= '' then
    in_record[#in_record + 1], in_record[#in_record + 2] = 'batch_id', batch
  end
  local entry_id = redis.call('XADD', stream, '*', 'id', id, 'kind', kind, 'chat_id', chat, 'body', body,
    'accepted_at', accepted_at, unpack(in_entry))
  waiting[stream] = ahead + 1
  redis.call('HSET', record, 'entry_id', entry_id, 'id', id, 'kind', kind, 'chat_id', chat, 'priority', priority,
    'stream', stream, 'status', 'queued', 'accepted_at', accepted_at, unpack(in_record))
  index(messages, 'c', id, chat)
  if checked == '1' then
    redis.call('SET', idempotency, id .. ' ' .. fingerprint .. ' ' .. entry_id, 'PX', life)
  end
  return { 'accepted', entry_id, ahead }
end)
