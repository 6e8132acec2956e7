-- Changes the queues of one conference's participants atomically.
--
-- KEYS[1]            a hash: seq, a counter, and born, the conference's id, which
--                    changes when Redis has lost its data.
-- KEYS[1]:line:ID    a queue, as JSON: n, its names, and p, its waiters.
-- KEYS[1]:name:NAME  the id of the queue of a participant with this name.
-- KEYS[1]:label:NAME the Call SID of a label.
--
-- A waiter has its id i, arrival a, properties s, event e, o if it is its turn, x if it
-- is superseded, and the end of its lease d, in milliseconds of the server's clock. A
-- superseded waiter stays until it leaves, so that it differs from a lost one.
local base, op, lease, self = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local keep = lease * 4 -- Longer than any lease in a line.
local lines = {}       -- The queues that were loaded, by id; false: there is none.

local function tell(waiter, what)
  if waiter.i ~= self then
    redis.call('PUBLISH', 'conferenced:replica:' .. string.match(waiter.i, '^%w+'), what .. ' ' .. waiter.i)
  end
end

local function covers(sets, others)
  while others > 0 do
    if others % 2 == 1 and sets % 2 == 0 then return false end
    sets, others = math.floor(sets / 2), math.floor(others / 2)
  end
  return true
end

local function yields(waiter, sets) return not waiter.e and covers(sets, waiter.s) end

local function remove(line, gone)
  local kept = {}
  for _, waiter in ipairs(line.p) do
    if not gone(waiter) then kept[#kept + 1] = waiter end
  end
  line.p = kept
end

-- advance gives the head its turn if no waiter has one.
local function advance(line)
  for _, waiter in ipairs(line.p) do
    if waiter.o then return end
  end
  for _, waiter in ipairs(line.p) do
    if not waiter.x then
      waiter.o = true
      tell(waiter, 'turn')
      return
    end
  end
end

-- load returns a queue without the waiters whose lease has ended.
local function load(id)
  if lines[id] == nil then
    lines[id] = false
    local text = redis.call('GET', base .. ':line:' .. id)
    if text then
      local line = cjson.decode(text)
      line.id = id
      remove(line, function(waiter) return waiter.d <= now end)
      advance(line)
      lines[id] = line
    end
  end
  return lines[id]
end

local function save(line)
  local key = base .. ':line:' .. line.id
  if #line.p > 0 then
    redis.call('SET', key, cjson.encode({n = line.n, p = line.p}), 'PX', keep)
    for _, name in ipairs(line.n) do redis.call('PEXPIRE', base .. ':name:' .. name, keep) end
    return
  end
  redis.call('DEL', key)
  for _, name in ipairs(line.n) do
    if redis.call('GET', base .. ':name:' .. name) == line.id then
      redis.call('DEL', base .. ':name:' .. name)
    end
  end
end

local function by_name(name)
  local id = redis.call('GET', base .. ':name:' .. name)
  return id and load(id)
end

local function give_name(line, name)
  line.n[#line.n + 1] = name
  redis.call('SET', base .. ':name:' .. name, line.id, 'PX', keep)
end

local function new_line(name)
  local id = redis.call('HGET', base, 'born') .. '.' .. redis.call('HINCRBY', base, 'seq', 1)
  local line = {id = id, n = {}, p = {}}
  lines[id] = line
  give_name(line, name)
  return line
end

-- line_of returns a participant's queue, or a new one. A label has the queue of its
-- Call SID, if that is known, until that queue is empty.
local function line_of(name)
  local line = by_name(name)
  if line then return line end
  local sid = redis.call('GET', base .. ':label:' .. name)
  if not sid then return new_line(name) end
  line = by_name(sid) or new_line(sid)
  give_name(line, name)
  return line
end

-- supersede marks the older waiters that the newer one covers. Their replicas take
-- them out.
local function supersede(line, newer)
  for _, waiter in ipairs(line.p) do
    if not waiter.x and waiter.a < newer.a and yields(waiter, newer.s) then
      waiter.x = true
      tell(waiter, 'over')
    end
  end
end

local function merge(into, from)
  for _, name in ipairs(from.n) do give_name(into, name) end
  for _, waiter in ipairs(from.p) do into.p[#into.p + 1] = waiter end
  redis.call('DEL', base .. ':line:' .. from.id)
  lines[from.id] = false
  table.sort(into.p, function(a, b) return a.a < b.a end)
  for _, newer in ipairs(into.p) do supersede(into, newer) end
  advance(into)
end

local function find(name, id)
  local line = by_name(name)
  if line then
    for _, waiter in ipairs(line.p) do
      if waiter.i == id then return waiter, line end
    end
  end
end

local ops = {}

-- join adds a waiter, unless more than bound others would stay in the queue.
function ops.join(name, sets, event, bound)
  redis.call('HSETNX', base, 'born', self)
  local line, staying = line_of(name), 0
  sets = tonumber(sets)
  for _, waiter in ipairs(line.p) do
    if waiter.o or not waiter.x and not yields(waiter, sets) then staying = staying + 1 end
  end
  if staying > tonumber(bound) then return {'full'} end
  local waiter = {i = self, a = redis.call('HINCRBY', base, 'seq', 1), s = sets, e = event == '1', d = now + lease}
  supersede(line, waiter)
  line.p[#line.p + 1] = waiter
  advance(line)
  return {waiter.o and 'turn' or 'wait', redis.call('HGET', base, 'born'), tostring(waiter.a)}
end

-- renew extends the leases of waiters, given by name and id. It returns born and their
-- states: over is a superseded waiter that has its turn, past one that has none.
function ops.renew(...)
  local states, pairs_of = {redis.call('HGET', base, 'born') or ''}, {...}
  for i = 1, #pairs_of, 2 do
    local waiter = find(pairs_of[i], pairs_of[i + 1])
    local state = 'gone'
    if waiter then
      waiter.d = now + lease
      state = waiter.o and (waiter.x and 'over' or 'turn') or waiter.x and 'past' or 'wait'
    end
    states[#states + 1] = state
  end
  return states
end

-- leave removes a waiter.
function ops.leave(name)
  local waiter, line = find(name, self)
  if waiter then
    remove(line, function(other) return other == waiter end)
    advance(line)
  end
  return {'left'}
end

-- know keeps the Call SID of a label for age milliseconds.
function ops.know(label, sid, age)
  local known = redis.call('GET', base .. ':label:' .. label)
  redis.call('SET', base .. ':label:' .. label, sid, 'PX', age)
  local by_label = known ~= sid and by_name(label)
  if not by_label then return {'known'} end
  local by_sid = by_name(sid)
  if not by_sid then
    give_name(by_label, sid)
  elseif by_sid.id ~= by_label.id then
    merge(by_sid, by_label)
  end
  return {'known'}
end

local answer = ops[op](unpack(ARGV, 4))
for _, line in pairs(lines) do
  if line then save(line) end
end
redis.call('PEXPIRE', base, keep * 2)
return answer
