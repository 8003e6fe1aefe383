-- Which schedules are live. A release seen for the first time raises the generation; an earlier one never comes back.
-- Schedules that were just read replace others of the same release.
--
-- Keys:
--   generation      hash    which are live: compared, replaced
--   releases        zset    which releases were seen
--   retired         hash    since when a beat that is not live asks
-- Arguments: digest, release ('' in development), 1 when they were just read and 0 when this asks
-- Answer: { 'current', 'taken' or 'retired', number, digest, release }

local LEFT_OVER = 60000      -- ms
local digest, release, fresh = ARGV[1], ARGV[2], ARGV[3] == '1'
local live = redis.call('HMGET', P .. 'generation', 'number', 'digest', 'release')
local function answer(word) return { word, live[1] or '0', live[2] or '', live[3] or '' } end
-- One that is being replaced goes within seconds; one that still asks after a minute was left over.
local function retired()
  local ours = digest .. '|' .. release
  redis.call('HSETNX', P .. 'retired', ours, int(NOW))
  local first = tonumber(redis.call('HGET', P .. 'retired', ours))
  if first and NOW - first >= LEFT_OVER then
    redis.call('HSET', P .. 'retired', ours, 'told')
    local of = release ~= '' and ' of release ' .. release or ''
    local text = 'a beat' .. of .. ' still runs and plans nothing: its schedules are no longer live; end it'
    alert('retired', { text = text })
  end
  return answer('retired')
end
local new_release = release ~= '' and not redis.call('ZSCORE', P .. 'releases', release)
if live[2] and not new_release then
  if live[2] == digest then return answer('current') end
  if not fresh or (release ~= '' and release ~= live[3]) then return retired() end
end
redis.call('UNLINK', P .. 'retired')
live = { int((tonumber(live[1]) or 0) + 1), digest, release }
redis.call('HSET', P .. 'generation', 'number', live[1], 'digest', digest, 'release', release, 'at', NOW)
if release ~= '' then
  redis.call('ZADD', P .. 'releases', live[1], release)
  redis.call('ZREMRANGEBYRANK', P .. 'releases', 0, -1001)
end
return answer('taken')
