-- pcall and xpcall for scripts. The original pcall looks for no room on the stack: where it is the __call of what it
-- calls, it comes again and again and writes beyond the end. A function of Lua looks each time. The original xpcall
-- runs its handler where the error is raised: if that is the count hook, no hook counts the handler's instructions,
-- and it may run for ever. Here it runs when all is unwound.

local pcall, select = pcall, select

local function judge(handler, good, ...)
    if good then
        return true, ...
    end
    return false, select(2, pcall(handler, ...))
end

return function(...)
    return pcall(...)
end, function(f, handler, ...)
    return judge(handler, pcall(f, ...))
end
