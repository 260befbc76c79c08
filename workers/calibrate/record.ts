/** What a level was calibrated on. */
export interface CalibrationRecord {
  source: 'text' | 'generated';
  /** Of the token ids, so that the same calibration is known by it. */
  sha256: string;
  tokens: number;
  seconds: number;
}
