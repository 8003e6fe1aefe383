-- Put before each script. KEYS[1] is the prefix of every key, e.g. 'anp:ledger:' (written P below).
--
--   P run:<id>         hash    one run: its row
--   P undo:<id>        list    its undo entries, JSON, oldest first
--   P steps:<id>       hash    its finished steps, name -> JSON result
--   P fence            string  the last fence given out
--   P queued           zset    id -> time (ms) from which upkeep may ring again      index "queue"
--   P delayed          zset    id -> time (ms) it becomes due                        index "time"
--   P blocked          zset    id -> time (ms) it began to wait                      index "lock"
--   P running:<node>   hash    id -> "<fence>|<child>"                               index "node"
--   P locks            hash    lock -> the run that holds it
--   P waiters:<lock>   zset    id -> order of arrival
--   P nodes            zset    node -> end of its lease (ms)
--   P node:<node>      hash    what a node says of itself; dead = 1 once it was reaped
--   P pulse            string  time (ms) of the last heartbeat or reap
--   P runs             zset    id -> time (ms) it was planned; every row that is kept
--   P schedule:<name>  zset    id -> tick (ms); the rows of one schedule
--   P expiring         zset    id -> time (ms) its row goes away
--   P parked           zset    id -> time (ms) it was parked
--   P unique:<task>:<digest>  string  the run that calls with this input get, while the key lives
--   P links            zset    id -> time (ms); ended runs whose next links are not confirmed
--   P counts           hash    "<task>|<state>" -> how often a run ended so
--   P sums             hash    "<task>|<what>" -> for metrics: late:<bucket> (first attempts that began so late), late_ms,
--                              ran and run_ms (ended runs that had begun, how long their last attempt took), retries, losses
--   P full             string  set while Redis is near its memory limit
--   P cursors          hash    schedule -> "<last decided tick, ms>|<timing>"
--   P hands            hash    schedule -> JSON { kind, by, note, since, until }: paused or disabled by an operator
--   P hands:<name>     list    JSON { at, what, by, note, … }: what was done to a schedule, the newest first
--   P backfills        hash    schedule -> JSON { id, reached, to, rate, … }: ticks of the past that still get a run
--   P generation       hash    number, digest, release and time of the schedules that are live
--   P releases         zset    release -> the generation it raised
--   P live             hash    schedule -> JSON: how each live schedule is declared
--   P reload           string  how often operators have asked beats to read their files again
--
--   P watch            zset    schedule -> time (ms) by which it must have succeeded
--   P expected         hash    schedule -> the same for its next tick, which is not decided yet
--   P late             hash    schedule -> time (ms) by which it should have succeeded, while it is late
--   P failing          hash    schedule -> how many of its runs failed in a row
--   P retired          hash    "<digest>|<release>" of a beat that is not live -> time (ms) it first asked, or 'told'
--   P outbox:alert     zset    id -> time (ms) to send it: alerts that wait to be sent
--   P outbox:ping      zset    the same for pings: a receiver of theirs that hangs holds up no alert
--   P outbox:items     hash    id -> JSON of it
--   P outbox:counts    hash    last (id given), minute and raised (alerts in it), more (alerts only counted), dropped
--
-- A row that is not final is in exactly one index; its field `at` names it.
local P = KEYS[1]
local TIME = redis.call('TIME')
local NOW = tonumber(TIME[1]) * 1000 + math.floor(tonumber(TIME[2]) / 1000)
local MICROS = tonumber(TIME[1]) * 1000000 + tonumber(TIME[2])

local GRACE = 5000           -- ms a message may be on its way before upkeep rings again
local HISTORY = 8192         -- bytes of history a row keeps
local REASON = 1000          -- bytes of a reason in it; not through the middle of a character
-- A child's death weighs 2; a node's 1: innocent neighbours; an idle child's silence 1: Redis was away when it spoke.
local LOSS_LIMIT = 6
local LOSS_WEIGHT = { child = 2, node = 1, idle = 1, fenced = 0, shutdown = 0 }
local ASKED = 2048           -- bytes of operators' requests a row remembers, so that a replay has no effect
local KEPT_SHORT = { succeeded = true, skipped = true, sent = true }
local CELERY_STATE = {
  succeeded = 'SUCCESS', failed = 'FAILURE', quarantined = 'FAILURE', rolled_back = 'FAILURE',
  rollback_failed = 'FAILURE', skipped = 'REVOKED', expired = 'REVOKED', cancelled = 'REVOKED',
}
local TOLD = 100             -- lines of a schedule's history that are kept
local TRIM_MOST = 100        -- rows that one script drops of a schedule
local RING = {}              -- ids that this script's caller has to ring
local WIRE = {}              -- id -> its message as the broker's list holds it: this script rings by itself
local TRIM = {}              -- schedules in which a run ended, and how many rows each keeps

local function int(value) return string.format('%.0f', value) end
local function row_key(id) return P .. 'run:' .. id end

-- Rows as this script knows them: read once, written at once; one that it makes is written whole, by `write_down`.
local COMMON = {             -- what most scripts want to know of a row, in one command
  'state', 'at', 'reason', 'history', 'task', 'lock', 'overlap', 'node', 'fence', 'attempts', 'began', 'started', 'wanted',
  'cancel', 'deadline', 'settled', 'hook', 'schedule', 'meta_key', 'linked', 'ended', 'ping', 'list', 'unguarded',
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
