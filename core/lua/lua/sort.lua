-- table.sort for scripts: a merge sort in Lua, so that the instructions of comparing are counted like any others,
-- whatever the comparison does. Stable, and orderly under a comparison that contradicts itself.

local error, type = error, type

local function less(a, b)
    return a < b
end

return function(list, before)
    if type(list) ~= "table" then
        error("table.sort takes a table", 2)
    end
    before = before or less
    local n, from, to, width = #list, list, {}, 1
    while width < n do
        for low = 1, n, 2 * width do
            local left, right, stop = low, low + width, low + 2 * width - 1
            local middle = right
            if stop > n then
                stop = n
            end
            for at = low, stop do
                if left < middle and left <= n and (right > stop or not before(from[right], from[left])) then
                    to[at], left = from[left], left + 1
                else
                    to[at], right = from[right], right + 1
                end
            end
        end
        from, to, width = to, from, 2 * width
    end
    if from ~= list then
        for at = 1, n do
            list[at] = from[at]
        end
    end
end
