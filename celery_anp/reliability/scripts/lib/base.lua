-- Put before each script: the prefix, the time, and the rows. KEYS[1] is the prefix of every key, such as
-- 'anp:ledger:', written P from here on; keys.py lists all of them, and row.py the fields of a row.
--
-- Keys:
--   run:<id>        hash    read once, written at once, or written whole by `write_down`
--   sums            hash    sums for metrics
--   hands:<name>    list    what was done to a schedule
-- Uses: LATE (keyspace.py gives it)
-- Provides: P, NOW, MICROS, GRACE, KEPT_SHORT, CELERY_STATE, RING, HELD, TRIM, TRIM_TASKS, int, row_key, ROWS, MADE,
--   get, number, set, unset, holds, exists, make, write_down, tally, tally_late, note, enter, remember

local P = KEYS[1]
local TIME = redis.call('TIME')
local NOW = tonumber(TIME[1]) * 1000 + math.floor(tonumber(TIME[2]) / 1000)
local MICROS = tonumber(TIME[1]) * 1000000 + tonumber(TIME[2])

local GRACE = 5000           -- ms a message may be on its way before upkeep rings again
local HISTORY = 8192         -- bytes of history a row keeps
local REASON = 1000          -- bytes of a reason in it; not through the middle of a character
local KEPT_SHORT = { succeeded = true, skipped = true, sent = true }
local CELERY_STATE = {
  succeeded = 'SUCCESS', failed = 'FAILURE', quarantined = 'FAILURE', rolled_back = 'FAILURE',
  rollback_failed = 'FAILURE', skipped = 'REVOKED', expired = 'REVOKED', cancelled = 'REVOKED',
}
local TOLD = 100             -- lines of a schedule's history that are kept
local RING = {}              -- ids whose message this script sends at its end
local HELD = {}              -- id -> true: whoever planned it here sends its message
local TRIM = {}              -- schedules in which a run ended, and how many rows each keeps
local TRIM_TASKS = {}        -- tasks of which a run by hand ended, and how many ended rows each keeps

local function int(value) return string.format('%.0f', value) end
local function row_key(id) return P .. 'run:' .. id end

-- Rows as this script knows them: read once, written at once; one that it makes is written whole, by `write_down`.
local COMMON = {             -- what most scripts want to know of a row, in one command
  'state', 'at', 'reason', 'history', 'task', 'lock', 'overlap', 'node', 'fence', 'attempts', 'began', 'started',
  'wanted', 'cancel', 'deadline', 'settled', 'hook', 'schedule', 'meta_key', 'linked', 'ended', 'ping', 'list',
  'unguarded', 'by_kombu', 'by_backend', 'queue', 'seal', 'due', 'replacement',
}
local ROWS = {}              -- id -> its fields
local MADE = {}              -- id -> true while its row is not written yet

local function row_of(id)
  local row = ROWS[id]
  if not row then
    row = {}
    ROWS[id] = row
    local values = redis.call('HMGET', row_key(id), unpack(COMMON))
    for i, field in ipairs(COMMON) do row[field] = values[i] or '' end
  end
  return row
end

local function get(id, field)
  local row = row_of(id)
  if not row[field] then row[field] = not MADE[id] and redis.call('HGET', row_key(id), field) or '' end
  return row[field]
end

local function number(id, field) return tonumber(get(id, field)) or 0 end

local function set(id, ...)
  local row, given = row_of(id), { ... }
  for i = 1, #given, 2 do
    local value = given[i + 1]
    if type(value) == 'number' then value = string.format('%.17g', value) end
    given[i + 1], row[given[i]] = value, value
  end
  if not MADE[id] then redis.call('HSET', row_key(id), unpack(given)) end
end

local function unset(id, ...)
  local row = row_of(id)
  for _, field in ipairs({ ... }) do row[field] = '' end
  redis.call('HDEL', row_key(id), ...)
end

-- Whether an attempt still holds a run.
local function holds(id, node, fence)
  return get(id, 'at') == 'node' and get(id, 'fence') == fence and get(id, 'node') == node
end

local function exists(id) return MADE[id] or redis.call('EXISTS', row_key(id)) == 1 end

local function make(id, fields) ROWS[id], MADE[id] = fields, true end

local function write_down(id)
  if not MADE[id] then return end
  MADE[id] = nil
  local fields = {}
  for field, value in pairs(ROWS[id]) do
    if value ~= '' or field == 'at' then             -- every row says where it stands, nowhere too
      fields[#fields + 1] = field
      fields[#fields + 1] = value
    end
  end
  redis.call('HSET', row_key(id), unpack(fields))
end

-- Raise a sum that metrics are made of. Only where a script changes a row, so that a replay raises nothing.
local function tally(id, what, by) redis.call('HINCRBY', P .. 'sums', get(id, 'task') .. '|' .. what, int(by)) end

local function tally_late(id, late)
  local bucket = 'inf'
  for _, most in ipairs(LATE) do
    if late <= most then bucket = int(most) break end
  end
  tally(id, 'late:' .. bucket, 1)
  tally(id, 'late_ms', late)
end

-- The history of a run with one more line.
local function history(id, from, to, node, reason)
  reason = string.gsub(reason, '[|%c]', ' ')
  if #reason > REASON then reason = string.gsub(string.sub(reason, 1, REASON), '[\192-\255][\128-\191]*$', '') end
  local line = table.concat({ int(NOW), from, to, node, reason }, '|') .. '\n'
  local lines = get(id, 'history') .. line
  while #lines > HISTORY do                          -- the first line and the newest are kept
    local first = string.find(lines, '\n', 1, true)
    local second = string.find(lines, '\n', first + 1, true)
    lines = string.sub(lines, 1, first) .. string.sub(lines, second + 1)
  end
  return lines
end

local function note(id, from, to, node, reason) set(id, 'history', history(id, from, to, node, reason)) end

local function enter(id, state, reason, node)
  set(id, 'history', history(id, get(id, 'state'), state, node or '', reason), 'state', state, 'reason', reason)
end

-- A line of what was done to a schedule.
local function remember(schedule, line)
  redis.call('LPUSH', P .. 'hands:' .. schedule, cjson.encode(line))
  redis.call('LTRIM', P .. 'hands:' .. schedule, 0, TOLD - 1)
end
