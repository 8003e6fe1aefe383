-- Which schedules are live. ARGV: digest, release ('' in development), 1 when they were just read and 0 when this asks.
-- A release seen for the first time raises the generation; an earlier one never comes back. Schedules that were just
-- read replace others of the same release. Answers { 'current', 'taken' or 'retired', number, digest, release }.
local digest, release, fresh = ARGV[1], ARGV[2], ARGV[3] == '1'
local live = redis.call('HMGET', P .. 'generation', 'number', 'digest', 'release')
local function answer(word) return { word, live[1] or '0', live[2] or '', live[3] or '' } end
local new_release = release ~= '' and not redis.call('ZSCORE', P .. 'releases', release)
if live[2] and not new_release then
  if live[2] == digest then return answer('current') end
  if not fresh or (release ~= '' and release ~= live[3]) then return answer('retired') end
end
live = { int((tonumber(live[1]) or 0) + 1), digest, release }
redis.call('HSET', P .. 'generation', 'number', live[1], 'digest', digest, 'release', release, 'at', NOW)
if release ~= '' then
  redis.call('ZADD', P .. 'releases', live[1], release)
  redis.call('ZREMRANGEBYRANK', P .. 'releases', 0, -1001)
end
return answer('taken')
