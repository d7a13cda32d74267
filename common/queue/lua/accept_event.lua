-- Accept inbound events: for each dedupe by message id, stream entry and record in one step.
--
-- KEYS         per event: stream, the event's record, the chat's list of our own messages, index of messages
-- ARGV         per event the number of what follows, and: message id, kind, chat id, body, received at ms, life of the
--              record ms, fingerprint of the content where it is an echo of our own message ('' = it is not), life of
--              the list ms, '1' where its webhook never came, when Avito created it ms ('' = it does not say), the
--              traceparent ('' = no trace goes on with it)
-- Reply        per event {'accepted', entry id, 0} | {'duplicate', message id, entry id of the first} | {'error', text}
-- Safe at OOM: refused as a whole (the first write is an XADD)
-- Owner-checked: not needed, the entry is new
-- A record without an entry id is that of a message we have sent ourselves: its echo is accepted once.
-- include: clock, items, index

return each_item(4, function(key, from, to)
  local stream, record, own_messages, messages = unpack(KEYS, key, key + 3)
  local id, kind, chat, body, received, life, mark, own_life, recovered, created, traceparent = unpack(ARGV, from, to)
  local known = redis.call('HGET', record, 'entry_id')
  if known then
    return { 'duplicate', id, known }
  end
  local in_entry, in_record = {}, {}
  if recovered == '1' then
    in_entry, in_record = { 'recovered', '1' }, { 'recovered', '1' }
  end
  if traceparent ~= '' then
    in_entry[#in_entry + 1], in_entry[#in_entry + 2] = 'traceparent', traceparent
  end
  if mark ~= '' then
    in_record[#in_record + 1], in_record[#in_record + 2] = 'fingerprint', mark
    if created ~= '' then
      in_record[#in_record + 1], in_record[#in_record + 2] = 'created', created
    end
  end
  local entry_id = redis.call('XADD', stream, '*', 'id', id, 'kind', kind, 'chat_id', chat, 'body', body,
    'received_at', received, unpack(in_entry))
  redis.call('HSET', record, 'entry_id', entry_id, 'id', id, 'kind', kind, 'chat_id', chat, 'received_at', received,
    'direction', mark ~= '' and 'out' or 'in', unpack(in_record))
  redis.call('PEXPIRE', record, life)
  index(messages, 'e', id, chat)
  if mark ~= '' then
    redis.call('ZADD', own_messages, wall_ms(), id)
    redis.call('PEXPIRE', own_messages, own_life)
  end
  return { 'accepted', entry_id, 0 }
end)
