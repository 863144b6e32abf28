-- Health of a RiskPredictor for Argo CD. Without it Argo CD calls every RiskPredictor healthy.
-- Asks the questions of kstatus in their order, and only of conditions that it knows by name.
local verdict = { status = "Progressing", message = "waiting for the operator" }
if obj.spec ~= nil and obj.spec.suspend == true then
  return { status = "Suspended", message = "spec.suspend is true" }
end
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return verdict
end
local conditions = {}
for _, condition in ipairs(obj.status.conditions or {}) do
  conditions[condition.type] = condition
end
local ready, stalled = conditions["Ready"], conditions["Stalled"]
if stalled ~= nil and stalled.status == "True" then
  return { status = "Degraded", message = stalled.reason .. ": " .. stalled.message }
end
if ready ~= nil then
  verdict.message = ready.reason .. ": " .. ready.message
  if ready.status == "True" then
    verdict.status = "Healthy"
  end
end
return verdict
