-- Put an object of WordPress back, unless something newer is known.
-- KEYS[1]  <root><group>:<key>         string  the object
-- KEYS[2]  <root>posts:last_changed    string  microtime of the last publish or edit
-- ARGV     the last_changed that the clearing set · its end (ms since 1970; 0 never) · its DUMP
-- Answer   'restored' · 'newer' (WordPress has one) · 'changed' (published or edited since) · 'ended'
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 'changed' end
if redis.call('EXISTS', KEYS[1]) == 1 then return 'newer' end
local till = tonumber(ARGV[2])
if till > 0 and till <= tonumber(redis.call('TIME')[1]) * 1000 then return 'ended' end
redis.call('RESTORE', KEYS[1], ARGV[2], ARGV[3], 'ABSTTL')
return 'restored'
