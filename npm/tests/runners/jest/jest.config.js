export default { testMatch: ["**/*.test.js"], transform: {}, testTimeout: 30_000 };
