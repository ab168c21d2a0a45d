// What the agent steers, as report.py has it: the measured feature, the change asked of the voice, and how numbers are told.

const FEATURES = ["f0_mean_st", "f0_range_st", "level_db", "rate_syll_s", "jitter", "shimmer", "nhr"]; // the order of a turn's z

export const DIMENSIONS = [
  { label: "Pitch", feature: "f0_mean_st", unit: "st re 100 Hz", change: "f0_shift_st", changeUnit: "st", weight: "weight_f0" },
  { label: "Pitch range", feature: "f0_range_st", unit: "st", change: "f0_range_factor", changeUnit: "×", weight: "weight_range" },
  { label: "Rate", feature: "rate_syll_s", unit: "syllables/s", change: "rate_factor", changeUnit: "×", weight: "weight_rate" },
  { label: "Level", feature: "level_db", unit: "dB re full scale", change: "level_shift_db", changeUnit: "dB", weight: "weight_level" },
];

/** How far a turn's feature lies from what was known of its speaker then, in standard deviations; null: not measured. */
export const zOf = (turn, dimension) => turn.z[FEATURES.indexOf(dimension.feature)] ?? null;

/** With a real minus, a dash for what is missing, and never −0. */
export function number(value, digits = 2, signed = false) {
  if (value === null || value === undefined) return "–";
  const told = Number(value.toFixed(digits)) + 0;
  return `${signed && told > 0 ? "+" : ""}${told.toFixed(digits)}`.replace("-", "−");
}

/** Minutes and seconds, as in 2:05. */
export function clock(timeS) {
  const whole = Math.abs(Math.round(timeS));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
