export { ControlError, NotFoundError, RealtapeError, ServerExitError, WaitTimeoutError } from "./errors.js";
export type { FindingRule, Level } from "./generated/control.js";
export type { Fault, FaultFile } from "./generated/faults.js";
export type { Rule, Scenario, Step, When } from "./generated/scenario.js";
export type { LaunchOptions } from "./launch.js";
export { Mock, start, type SecretOptions, type WaitOptions } from "./mock.js";
export type { ServeOptions, StartOptions } from "./options.js";
export type { Exit, ProgramOptions } from "./program.js";
export type * from "./types.js";
