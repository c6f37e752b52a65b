Feature: Orders by telephone

  Scenario: The number is known
    When the caller says "Where is order 1043?"
    Then the agent answers "Order 1043 is on its way."

  Scenario: The number is missing
    When the caller says "Where is my parcel?"
    Then the agent answers "What is the number of your order?"
