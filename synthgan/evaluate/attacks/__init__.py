"""What can somebody who has the synthetic table learn about the people in train?"""
