// The demo's patients: the clinical pictures that the model's synthetic training data is made of.
//
// Numbers drawn evenly from the accepted ranges would be patients that nobody has, and would raise
// the alert on input drift after every demo. As in synthetic.py: share of the patients, then mean
// and standard deviation of each vital, then bpm per mmHg of systolic pressure.

const STATES = [
  { share: 0.5, rate: [75, 9], pressure: [124, 13], temperature: [98.2, 0.6], oxygen: [97.6, 1.0], slope: 0 },
  { share: 0.14, rate: [84, 10], pressure: [118, 14], temperature: [101.2, 1.0], oxygen: [95.4, 1.8], slope: -0.1 },
  { share: 0.12, rate: [104, 14], pressure: [128, 18], temperature: [99.4, 1.2], oxygen: [89.0, 3.5], slope: 0 },
  { share: 0.12, rate: [112, 14], pressure: [89, 12], temperature: [101.0, 2.4], oxygen: [92.5, 3.2], slope: -0.4 },
  { share: 0.05, rate: [43, 6], pressure: [108, 20], temperature: [97.6, 0.7], oxygen: [96.0, 1.8], slope: 0 },
  { share: 0.03, rate: [54, 10], pressure: [100, 17], temperature: [93.6, 1.6], oxygen: [94.0, 2.4], slope: 0 },
  { share: 0.04, rate: [92, 13], pressure: [219, 13], temperature: [98.5, 0.6], oxygen: [95.8, 1.8], slope: 0 },
];
const FEVER_BPM_PER_F = 5.5;

// Mulberry32: the same patients in every demo, so that two runs compare.
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const clip = (value, low, high) => Math.min(high, Math.max(low, value));

function patient(state, draw) {
  // Box and Muller's normal deviates.
  const normal = ([mean, deviation]) =>
    mean + deviation * Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw());
  const temperature = normal(state.temperature);
  const pressure = normal(state.pressure);
  const rate = normal(state.rate) + FEVER_BPM_PER_F * (temperature - state.temperature[0]) +
    state.slope * (pressure - state.pressure[0]);
  return {
    heart_rate: Math.round(clip(rate, 20, 300)),
    blood_pressure: Math.round(clip(pressure, 40, 300)),
    temperature: Math.round(10 * clip(temperature, 77, 113)) / 10,
    oxygen_level: Math.round(clip(normal(state.oxygen), 40, 100)),
  };
}

// So many patients, of each picture its share; another seed, other patients.
export function patients(count, seed) {
  const draw = random(seed);
  return STATES.flatMap((state) =>
    Array.from({ length: Math.round(count * state.share) }, () => patient(state, draw)));
}
