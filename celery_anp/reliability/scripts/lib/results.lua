-- Celery's own record of how a run ended, for .get() and chords.
--
-- Keys:
--   run:<id>        hash    its key, and how long it is kept
--   row.meta_key    string  the record, as the worker encoded it or as JSON
-- Uses: CELERY_STATE, int, get, number
-- Provides: publish, publish_end, forget_end

local function publish(id, meta)
  local key = get(id, 'meta_key')
  if key == '' then return end
  local keep = number(id, 'keep')
  redis.call('SET', key, meta, 'PX', int(keep > 0 and keep or number(id, 'keep_long')))
  redis.call('PUBLISH', key, meta)
end

local function publish_end(id, state, reason)
  local status = CELERY_STATE[state]
  if not status or get(id, 'by_backend') == '1' then return end
  local failed = status == 'FAILURE'
  local why = {
    exc_type = failed and 'RunEnded' or 'TaskRevokedError',
    exc_module = failed and 'celery_anp.errors' or 'celery.exceptions',
    exc_message = { 'The run ' .. id .. ' ended as ' .. state .. ': ' .. reason },
  }
  publish(id, cjson.encode({
    status = status, traceback = cjson.null, children = {}, task_id = id, date_done = cjson.null,
    result = status == 'SUCCESS' and cjson.null or why,          -- a body that raised Ignore has no result
  }))
end

-- A run that begins anew has no end yet: .get() waits for the new one.
local function forget_end(id)
  if get(id, 'meta_key') ~= '' then redis.call('UNLINK', get(id, 'meta_key')) end
end
