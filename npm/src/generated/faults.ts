// Made by `python -m tools.npm_types` from the schemas of the server. Do not edit.

export type Fault = {
  /** handshake, client_secrets, webhook, a route such as POST /v1/realtime/calls, a server event's type, < and a client event's type, or time: 5s. */
  at?: string | {
    time: `${number}${"ms" | "s" | "m" | "min"}`;
  };
  /** (at least 1) */
  nth?: number;
  /** (at least 1) */
  response?: number;
  /** (at least 1) */
  session?: number;
  /** (at least 1) */
  times?: number;
  /** (at least 0, at most 1, default 1.0) */
  probability?: number;
  name?: string;
  do: "status" | "hang" | "slow" | "reset" | "close" | "tear" | "half_open" | "stall" | "drop" | "duplicate" | "reorder" | "delay" | "late" | "jitter" | "bandwidth" | "corrupt" | "truncate" | "error" | "refuse" | "fail" | "incomplete" | "gap" | "clip" | "wrong_rate" | "hang_up" | "press" | "lose_sidebands" | "forge" | "packet_loss" | "packet_jitter" | "late_ice" | "dtls_hang" | "close_channel" | "stop_sound" | `${"status" | "hang" | "slow" | "reset" | "close" | "tear" | "half_open" | "stall" | "drop" | "duplicate" | "reorder" | "delay" | "late" | "jitter" | "bandwidth" | "corrupt" | "truncate" | "error" | "refuse" | "fail" | "incomplete" | "gap" | "clip" | "wrong_rate" | "hang_up" | "press" | "lose_sidebands" | "forge" | "packet_loss" | "packet_jitter" | "late_ice" | "dtls_hang" | "close_channel" | "stop_sound"}:${string}` | {
    /** (at least 400, at most 599, default 503) */
    status: number;
    /** (at least 0) */
    retry_after?: number;
  } | {
    hang: null | true | `${number}${"ms" | "s" | "m" | "min"}` | {
      seconds?: number | `${number}${"ms" | "s" | "m" | "min"}`;
      ms?: number;
      s?: number;
    };
    seconds?: number | `${number}${"ms" | "s" | "m" | "min"}`;
    ms?: number;
    s?: number;
  } | {
    slow: null | true | `${number}${"ms" | "s" | "m" | "min"}` | {
      seconds?: number | `${number}${"ms" | "s" | "m" | "min"}`;
      ms?: number;
      s?: number;
    };
    seconds?: number | `${number}${"ms" | "s" | "m" | "min"}`;
    ms?: number;
    s?: number;
  } | {
    reset: null | true;
  } | {
    close: null | true | number | {
      /** (at least 1000, at most 4999, default 1011) */
      code?: number;
      reason?: string;
    };
    /** (at least 1000, at most 4999, default 1011) */
    code?: number;
    reason?: string;
  } | {
    tear: null | true;
  } | {
    half_open: null | true;
  } | {
    stall: null | true | `${number}${"ms" | "s" | "m" | "min"}` | {
      seconds?: number | `${number}${"ms" | "s" | "m" | "min"}`;
      ms?: number;
      s?: number;
    };
    seconds?: number | `${number}${"ms" | "s" | "m" | "min"}`;
    ms?: number;
    s?: number;
  } | {
    drop: null | true;
  } | {
    duplicate: null | true | boolean | {
      /** (default false) */
      fresh?: boolean;
    };
    /** (default false) */
    fresh?: boolean;
  } | {
    reorder: null | true;
  } | {
    delay: null | true | `${number}${"ms" | "s" | "m" | "min"}` | {
      seconds?: number | `${number}${"ms" | "s" | "m" | "min"}`;
      ms?: number;
      s?: number;
    };
    seconds?: number | `${number}${"ms" | "s" | "m" | "min"}`;
    ms?: number;
    s?: number;
  } | {
    late: null | true | `${number}${"ms" | "s" | "m" | "min"}` | {
      seconds?: number | `${number}${"ms" | "s" | "m" | "min"}`;
      ms?: number;
      s?: number;
    };
    seconds?: number | `${number}${"ms" | "s" | "m" | "min"}`;
    ms?: number;
    s?: number;
  } | {
    jitter: null | true | `${number}${"ms" | "s" | "m" | "min"}` | {
      seconds?: number | `${number}${"ms" | "s" | "m" | "min"}`;
      ms?: number;
      s?: number;
    };
    seconds?: number | `${number}${"ms" | "s" | "m" | "min"}`;
    ms?: number;
    s?: number;
  } | {
    bandwidth: null | true | number | {
      /** (at least 1, default 16000) */
      bytes_per_s?: number;
    };
    /** (at least 1, default 16000) */
    bytes_per_s?: number;
  } | {
    corrupt: null | true;
  } | {
    truncate: null | true;
  } | {
    error: null | true | string | {
      /** (default "server_error") */
      type?: string;
      code?: string | null;
      /** (default "The server had an error while processing your request.") */
      message?: string;
      param?: string;
    };
    /** (default "server_error") */
    type?: string;
    code?: string | null;
    /** (default "The server had an error while processing your request.") */
    message?: string;
    param?: string;
  } | {
    refuse: null | true | string | null | {
      /** (default "conversation_already_has_active_response") */
      code?: string | null;
      /** (default "invalid_request_error") */
      type?: string;
      message?: string;
      param?: string;
    };
    /** (default "conversation_already_has_active_response") */
    code?: string | null;
    /** (default "invalid_request_error") */
    type?: string;
    message?: string;
    param?: string;
  } | {
    fail: null | true | string | {
      /** (default "server_error") */
      code?: string | null;
      /** (default "The server had an error while processing your request.") */
      message?: string;
      type?: string;
    };
    /** (default "server_error") */
    code?: string | null;
    /** (default "The server had an error while processing your request.") */
    message?: string;
    type?: string;
  } | {
    incomplete: null | true | "max_output_tokens" | "content_filter" | {
      /** (default "max_output_tokens") */
      reason?: "max_output_tokens" | "content_filter";
    };
    /** (default "max_output_tokens") */
    reason?: "max_output_tokens" | "content_filter";
  } | {
    gap: null | true;
  } | {
    clip: null | true;
  } | {
    wrong_rate: null | true | number | {
      /** (at least 4000, at most 96000, default 16000) */
      rate?: number;
    };
    /** (at least 4000, at most 96000, default 16000) */
    rate?: number;
  } | {
    hang_up: null | true;
  } | {
    press: null | true | string | {
      /** (default "0") */
      digits?: string;
    };
    /** (default "0") */
    digits?: string;
  } | {
    lose_sidebands: null | true | "reset" | "silence" | {
      /** (default "reset") */
      by?: "reset" | "silence";
    };
    /** (default "reset") */
    by?: "reset" | "silence";
  } | {
    forge: null | true;
  } | {
    packet_loss: null | true | number | {
      /** (at least 0, at most 1, default 0.1) */
      share?: number;
    };
    /** (at least 0, at most 1, default 0.1) */
    share?: number;
  } | {
    packet_jitter: null | true | `${number}${"ms" | "s" | "m" | "min"}` | {
      seconds?: number | `${number}${"ms" | "s" | "m" | "min"}`;
      ms?: number;
      s?: number;
    };
    seconds?: number | `${number}${"ms" | "s" | "m" | "min"}`;
    ms?: number;
    s?: number;
  } | {
    late_ice: null | true | `${number}${"ms" | "s" | "m" | "min"}` | {
      seconds?: number | `${number}${"ms" | "s" | "m" | "min"}`;
      ms?: number;
      s?: number;
    };
    seconds?: number | `${number}${"ms" | "s" | "m" | "min"}`;
    ms?: number;
    s?: number;
  } | {
    dtls_hang: null | true;
  } | {
    close_channel: null | true | `${number}${"ms" | "s" | "m" | "min"}` | {
      seconds?: number | `${number}${"ms" | "s" | "m" | "min"}`;
      ms?: number;
      s?: number;
    };
    seconds?: number | `${number}${"ms" | "s" | "m" | "min"}`;
    ms?: number;
    s?: number;
  } | {
    stop_sound: null | true | `${number}${"ms" | "s" | "m" | "min"}` | {
      seconds?: number | `${number}${"ms" | "s" | "m" | "min"}`;
      ms?: number;
      s?: number;
    };
    seconds?: number | `${number}${"ms" | "s" | "m" | "min"}`;
    ms?: number;
    s?: number;
  };
};

export type FaultFile = {
  /** Decides about probabilities. */
  seed?: number | string;
  faults: Fault[];
};
