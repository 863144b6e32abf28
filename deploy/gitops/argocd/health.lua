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
-- How far a change of the model is: " (v2: Canary 10%, 2304 pairs)".
local about, rollout = "", obj.status.rollout
if rollout ~= nil and rollout.candidate ~= nil then
  about = " (" .. rollout.candidate.version .. ": " .. rollout.step
  if rollout.evidence ~= nil then
    about = about .. ", " .. rollout.evidence.pairs .. " pairs"
  end
  about = about .. ")"
end
if stalled ~= nil and stalled.status == "True" then
  return { status = "Degraded", message = stalled.reason .. ": " .. stalled.message .. about }
end
if ready ~= nil then
  verdict.message = ready.reason .. ": " .. ready.message .. about
  if ready.status == "True" then
    verdict.status = "Healthy"
  elseif ready.reason == "AwaitingApproval" then
    -- Argo CD's word for what waits for a person; a sync that waits for health goes on waiting.
    verdict.status = "Suspended"
  end
end
return verdict
