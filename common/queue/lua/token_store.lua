-- Store a new access token and end the refresh, or end it without a token.
--
-- KEYS   1 token, 2 its lock
-- ARGV   1 owner, 2 token as JSON or '' for none, 3 life of the token in ms
-- reply  1 done, 0 the lock is no longer the owner's: nothing changed
-- safe at OOM: yes, the DEL goes first and the SET passes after it
-- owner-checked: yes

if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[2])
if ARGV[2] ~= '' then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
