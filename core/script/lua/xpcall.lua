-- xpcall for scripts. The original runs the handler where the error is raised. If that is the count hook, no hook
-- counts the handler's instructions, and it may run for ever: here it runs when all is unwound.

local pcall, select = pcall, select

local function judge(handler, good, ...)
    if good then
        return true, ...
    end
    return false, select(2, pcall(handler, ...))
end

return function(f, handler, ...)
    return judge(handler, pcall(f, ...))
end
