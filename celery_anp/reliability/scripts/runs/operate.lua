-- What an operator asks for. A replay of a request, however late, gets its first answer and has no effect.
--
-- Keys:
--   run:<id>        hash    its state; the requests it had
--   steps:<id>      hash    dropped when a rollback is resolved
-- Arguments: id, what (retry, rollback, cancel, resolve), by, note, token (one per request)
-- Answer: { 'ok' or 'refused' or 'gone', state }

local ASKED = 2048           -- bytes of operators' requests a row remembers, so that a replay has no effect
local id, what, by, words, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local state = get(id, 'state')
local reason = what .. ' by ' .. by .. (words ~= '' and ': ' .. words or '')
local AGAIN = { failed = true, rolled_back = true, cancelled = true, quarantined = true, expired = true,
  skipped = true, parked = true }
local UNDO = { succeeded = true, failed = true, cancelled = true, quarantined = true, rollback_failed = true }

local asked = get(id, 'asked')
local first = string.match(asked, token .. '=(%a+)')
local function answer(word)
  if not first then set(id, 'asked', string.sub(asked .. token .. '=' .. word .. ';', -ASKED)) end
  rung(id)
  return { word, get(id, 'state') }
end

if state == '' then return { 'gone', '' } end
if first then return answer(first) end
if what == 'retry' and AGAIN[state] and get(id, 'message') ~= '' then   -- a tick that was only counted has none
  revive(id)
  forget_end(id)
  unset(id, 'error', 'as_expected', 'partial', 'failed_as', 'failed_why', 'ended', 'deadline', 'counted')
  set(id, 'failures', 0, 'requeues', 0, 'loss_points', 0, 'settled', '')
  if get(id, 'lock') ~= '' and get(id, 'overlap') ~= 'allow_all' then set(id, 'overlap', 'buffer_all', 'limit', 1e6) end
  enter(id, 'queued', reason)
  ready(id, true)
elseif what == 'rollback' and UNDO[state] and get(id, 'hook') == '1' and number(id, 'attempts') > 0 then
  revive(id)
  if get(id, 'failed_as') == '' then set(id, 'failed_as', state, 'failed_why', get(id, 'reason')) end
  if state ~= 'rollback_failed' then unset(id, 'undone') end
  set(id, 'rollback_failures', 0, 'rollback_losses', 0, 'settled', '')
  enter(id, 'rolling_back', reason)
  ready(id, true)
elseif what == 'cancel' and may_cancel(id) then
  cancel(id, reason)
elseif what == 'resolve' and state == 'rollback_failed' then
  redis.call('UNLINK', P .. 'steps:' .. id)
  finish(id, 'rolled_back', reason)
else
  return answer('refused')
end
return answer('ok')
