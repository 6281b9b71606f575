//! RabbitMQ, spoken to in AMQP 0-9-1.
