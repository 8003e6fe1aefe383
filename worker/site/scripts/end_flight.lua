-- End a flight, if it is still ours.
-- KEYS[1]  <root>flight:<kind>:<path>   string  token of who asks for or renders this page now
-- ARGV     our token
-- Answer   1 ended, 0 it was another's, or over.
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
