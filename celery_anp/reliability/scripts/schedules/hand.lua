-- An operator's hand on a schedule. One that ended stays, so that a tick of its time that nobody has decided yet is
-- still skipped.
--
-- Keys:
--   hands           hash    the hand
--   hands:<name>    list    requests that were done: a replay has no effect
-- Arguments: schedule, what (pause, resume, disable, enable), by, note, ms until a pause ends ('' for no end), token
--   (one per request)
-- Answer: { 'ok', the hand } or { 'refused', the kind of hand in force or 'none' }

local schedule, what, by, words, span, token = unpack(ARGV)
local ALLOWED = {
  pause = { none = true, paused = true }, resume = { paused = true },
  disable = { none = true, paused = true, disabled = true }, enable = { disabled = true },
}
local before = redis.call('HGET', P .. 'hands', schedule)
local on = before and cjson.decode(before) or {}
local ends = tonumber(on['until'])
local in_force = before and (not ends or NOW < ends) and on.kind or 'none'
for _, line in ipairs(redis.call('LRANGE', P .. 'hands:' .. schedule, 0, 9)) do
  if cjson.decode(line).token == token then return { 'ok', before } end
end
if not ALLOWED[what][in_force] then return { 'refused', in_force } end
if what == 'resume' or what == 'enable' then
  on['until'] = NOW
else
  on = {
    kind = what == 'pause' and 'paused' or 'disabled', by = by, note = words,
    since = in_force == 'none' and NOW or on.since, ['until'] = span ~= '' and NOW + tonumber(span) or cjson.null,
  }
end
redis.call('HSET', P .. 'hands', schedule, cjson.encode(on))
if what == 'resume' or what == 'enable' then watch_next(schedule) end
remember(schedule, { at = NOW, what = what, by = by, note = words, ['until'] = on['until'], token = token })
return { 'ok', cjson.encode(on) }
