"""`python -m tests.chaos --faults 200 --seed 1`"""

from tests.chaos.run import main

if __name__ == "__main__":
    main()
