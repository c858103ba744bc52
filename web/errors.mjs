// The error of every call that fails in typed mode, and of loading.

export class LoomError extends Error {
  /**
   * @param {string} message  where, expected, got, and what to do
   * @param {string} [kind]   the Python class: ConfigError, ShapeError, InputError,
   *                          FormatError, WireError, DeviceError, TrainingError
   * @param {ErrorOptions} [options]
   */
  constructor(message, kind = "LoomError", options) {
    super(message, options);
    this.name = "LoomError";
    this.kind = kind;
  }
}
