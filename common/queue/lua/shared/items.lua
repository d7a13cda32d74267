-- Many acceptances in one call. Shared part: expects KEYS to hold `keys_each` keys for each item, and ARGV the number of an
-- item's arguments and then these, item by item. `accept` gets where an item's keys and arguments begin, and where they
-- end: copied out, they would cost as much as a command. Each item is for itself: one that fails replies {'error', its
-- error}.
-- At OOM the first write of the call is refused, and so is every other: nothing is stored in part.

local function each_item(keys_each, accept)
  local replies, at = {}, 1
  for n = 1, #KEYS / keys_each do
    local last = at + tonumber(ARGV[at])
    local ok, reply = pcall(accept, (n - 1) * keys_each + 1, at + 1, last)
    at = last + 1
    replies[n] = ok and reply or { 'error', type(reply) == 'table' and reply.err or tostring(reply) }
  end
  return replies
end
