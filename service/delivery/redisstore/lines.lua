-- What waits for the participants of one conference, changed in one step.
--
-- KEYS[1]            the conference: a hash of seq, the arrivals so far, and
--                    born, which is another one after everything was lost.
-- KEYS[1]:line:ID    a line, as JSON: n, its names, and p, its places.
-- KEYS[1]:name:NAME  the line that a participant's name stands for.
-- KEYS[1]:label:NAME the Call SID that a label stands for.
--
-- A place has its id i, arrival a, properties s, event e, turn o, overtaken x
-- and the end of its lease d, in milliseconds of this server's clock. One that is
-- overtaken stays until it leaves, so that it is told apart from one that is lost.
local base, op, lease, self = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local keep = lease * 4 -- Longer than any lease in a line.
local lines = {}       -- Those in hand, by id; false: there is none.

local function tell(place, what)
  if place.i ~= self then
    redis.call('PUBLISH', 'conferenced:replica:' .. string.match(place.i, '^%w+'), what .. ' ' .. place.i)
  end
end

local function covers(sets, others)
  while others > 0 do
    if others % 2 == 1 and sets % 2 == 0 then return false end
    sets, others = math.floor(sets / 2), math.floor(others / 2)
  end
  return true
end

local function yields(place, sets) return not place.e and covers(sets, place.s) end

local function remove(line, gone)
  local kept = {}
  for _, place in ipairs(line.p) do
    if not gone(place) then kept[#kept + 1] = place end
  end
  line.p = kept
end

-- advance gives the head its turn if nobody has it.
local function advance(line)
  for _, place in ipairs(line.p) do
    if place.o then return end
  end
  for _, place in ipairs(line.p) do
    if not place.x then
      place.o = true
      tell(place, 'turn')
      return
    end
  end
end

-- load takes a line in hand, without the places whose lease has ended.
local function load(id)
  if lines[id] == nil then
    lines[id] = false
    local text = redis.call('GET', base .. ':line:' .. id)
    if text then
      local line = cjson.decode(text)
      line.id = id
      remove(line, function(place) return place.d <= now end)
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

-- line_of is a participant's line, which begins to exist if nobody is in it. A
-- label has the line of its Call SID, if that is known, until that is empty.
local function line_of(name)
  local line = by_name(name)
  if line then return line end
  local sid = redis.call('GET', base .. ':label:' .. name)
  if not sid then return new_line(name) end
  line = by_name(sid) or new_line(sid)
  give_name(line, name)
  return line
end

-- supersede marks the older ones that the newer takes the place of. They do not
-- wait for their turn any more, and leave by themselves.
local function supersede(line, newer)
  for _, place in ipairs(line.p) do
    if not place.x and place.a < newer.a and yields(place, newer.s) then
      place.x = true
      tell(place, 'over')
    end
  end
end

local function merge(into, from)
  for _, name in ipairs(from.n) do give_name(into, name) end
  for _, place in ipairs(from.p) do into.p[#into.p + 1] = place end
  redis.call('DEL', base .. ':line:' .. from.id)
  lines[from.id] = false
  table.sort(into.p, function(a, b) return a.a < b.a end)
  for _, newer in ipairs(into.p) do supersede(into, newer) end
  advance(into)
end

local function find(name, id)
  local line = by_name(name)
  if line then
    for _, place in ipairs(line.p) do
      if place.i == id then return place, line end
    end
  end
end

local ops = {}

-- join: the name, the properties, whether it is an event, the bound.
function ops.join(name, sets, event, bound)
  redis.call('HSETNX', base, 'born', self)
  local line, staying = line_of(name), 0
  sets = tonumber(sets)
  for _, place in ipairs(line.p) do
    if place.o or not place.x and not yields(place, sets) then staying = staying + 1 end
  end
  if staying > tonumber(bound) then return {'full'} end
  local place = {i = self, a = redis.call('HINCRBY', base, 'seq', 1), s = sets, e = event == '1', d = now + lease}
  supersede(line, place)
  line.p[#line.p + 1] = place
  advance(line)
  return {place.o and 'turn' or 'wait', redis.call('HGET', base, 'born'), tostring(place.a)}
end

-- renew: a name and an id of each place. The answer is born and their states;
-- over is one that is overtaken in its turn, past one that waits for none.
function ops.renew(...)
  local states, pairs_of = {redis.call('HGET', base, 'born') or ''}, {...}
  for i = 1, #pairs_of, 2 do
    local place = find(pairs_of[i], pairs_of[i + 1])
    local state = 'gone'
    if place then
      place.d = now + lease
      state = place.o and (place.x and 'over' or 'turn') or place.x and 'past' or 'wait'
    end
    states[#states + 1] = state
  end
  return states
end

-- leave: the name.
function ops.leave(name)
  local place, line = find(name, self)
  if place then
    remove(line, function(other) return other == place end)
    advance(line)
  end
  return {'left'}
end

-- know: the label, the Call SID, for how long.
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
