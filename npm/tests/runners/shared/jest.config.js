export default { testMatch: ["**/*.jest.js"], transform: {}, globalSetup: "realtape/setup" };
