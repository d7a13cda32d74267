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

return each_item(4, function(keys, args)
  local stream, record, own_messages, messages = keys[1], keys[2], keys[3], keys[4]
  local id, kind, chat, body, received, life, mark = args[1], args[2], args[3], args[4], args[5], args[6], args[7]
  local known = redis.call('HGET', record, 'entry_id')
  if known then
    return { 'duplicate', id, known }
  end
  local fields = { 'id', id, 'kind', kind, 'chat_id', chat, 'body', body, 'received_at', received }
  if args[9] == '1' then
    fields[11], fields[12] = 'recovered', '1'
  end
  if args[11] ~= '' then
    fields[#fields + 1], fields[#fields + 2] = 'traceparent', args[11]
  end
  local entry_id = redis.call('XADD', stream, '*', unpack(fields))
  redis.call('HSET', record, 'entry_id', entry_id, 'id', id, 'kind', kind, 'chat_id', chat, 'received_at', received,
    'direction', mark ~= '' and 'out' or 'in')
  if args[9] == '1' then
    redis.call('HSET', record, 'recovered', '1')
  end
  redis.call('PEXPIRE', record, life)
  index(messages, 'e', id, chat)
  if mark ~= '' then
    redis.call('HSET', record, 'fingerprint', mark)
    if args[10] ~= '' then
      redis.call('HSET', record, 'created', args[10])
    end
    redis.call('ZADD', own_messages, wall_ms(), id)
    redis.call('PEXPIRE', own_messages, args[8])
  end
  return { 'accepted', entry_id, 0 }
end)
