-- Tell when a gate's tokens come back.
--
-- KEYS         the gate: hash, tokens
-- ARGV         none
-- Reply        in how many ms each token that is out is back, the soonest first
-- Safe at OOM: passes (it writes nothing)
-- Owner-checked: not needed, it changes nothing
-- include: clock, usage

local now = gate_now(KEYS[1], wall_ms())
local out = redis.call('ZRANGEBYSCORE', KEYS[2], string.format('(%.3f', now), '+inf', 'WITHSCORES')
local back = {}
for i = 2, #out, 2 do
  back[#back + 1] = math.ceil(tonumber(out[i]) - now)
end
return back
