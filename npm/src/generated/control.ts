// Made by `python -m tools.npm_types` from the schemas of the server. Do not edit.

export type DialectName = "auto" | "xai" | "openai" | "azure" | "xai@2026-04" | "xai@2026-07" | "xai@2026-08" | "xai@2026-09" | "xai@2026-10" | "openai@2026-08" | "openai@2026-10" | "azure@2026-10";

export type FindingRule = "appended-transcripts" | "audio-before-configuration" | "audio-format" | "audio-rate" | "audio-speed" | "beta-header" | "cancelled-call-answered" | "commit-under-vad" | "empty-commit" | "hosted-call-answered" | "ignored-error" | "ignored-field" | "key-in-browser" | "key-in-query" | "latest-model" | "left-open" | "microphone-stops" | "model-ends" | "nested-tool" | "no-backoff" | "no-retry" | "nothing-asked" | "odd-audio-bytes" | "overlapping-replies" | "reconnecting" | "repeated-error" | "repeated-item-id" | "repeated-write" | "reply-over-preamble" | "scenario-error" | "session-cap" | "short-silence" | "silent-audio" | "speech-uncommitted" | "stale-response-id" | "summed-billable-seconds" | "tool-call-unanswered" | "tool-result-repeated" | "tool-result-unanswered" | "tool-result-unknown" | "truncate-beyond" | "unanswered-item" | "undeclared-call" | "unknown-field" | "unknown-model" | "unmatched-turn" | "unreachable-rule" | "unrecorded-turn" | "untold-interruption";

export type Level = "off" | "warn" | "error";
